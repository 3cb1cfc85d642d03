"""Did it get better? Judgements, runs, measures, comparison, tuning and the harnesses that use them."""
