"""`python -m ppo_marketing` is the command line."""

from ppo_marketing.cli import main

if __name__ == "__main__":
    main()
