"""What the papers say, claim by claim, beside what comes out here."""
