"""``jobctl report``: the result of a bench, told again at any time as a page, JUnit, Markdown, CSV or OpenMetrics."""
