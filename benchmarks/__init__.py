"""One script a claim; each writes its result as JSON under results/."""
