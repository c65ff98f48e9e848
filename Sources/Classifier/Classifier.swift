// Classifier: see docs/architecture.md.
