"""From an exported model to a released engine bundle."""
