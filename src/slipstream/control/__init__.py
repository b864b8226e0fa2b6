"""What a pass costs here, how often drafts come true, and what to do about it: snapshot in, plan out, with the
reason."""
