"""What would happen if: scenarios on a calibrated market, curves of spend, budgets shared out."""
