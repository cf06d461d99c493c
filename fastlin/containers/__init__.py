"""Arrays that users pass and that fitted models contain: of other libraries, sparse, or loaded from files."""
