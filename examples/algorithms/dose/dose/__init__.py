"""CT dose from headers and dose reports: study -> headers and dose reports -> events -> document. Plain Python, nothing to install."""
