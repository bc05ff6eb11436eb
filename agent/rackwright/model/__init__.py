"""The words that all parts of Rackwright share: plain frozen values, no I/O."""
