"""Images: their sources, the audit, the split, the cache and the augmentation."""
