"""The nouns: tensors, messages, signatures. numpy only; no trio, no protocol."""
