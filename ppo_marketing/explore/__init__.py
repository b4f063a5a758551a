"""What a policy does and why: pictures, cases and counterfactuals, for any card."""
