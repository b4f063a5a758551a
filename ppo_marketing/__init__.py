"""From a marketing log to a decision policy: the engine, which knows no decision type."""
