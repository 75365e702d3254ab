"""From images to the answer: options, set-up, estimate, search, result."""
