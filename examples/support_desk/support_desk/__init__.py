"""A support desk: questions of customers, answered by a language model and kept in Postgres."""
