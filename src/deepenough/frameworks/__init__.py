"""The same network in other frameworks: one file a framework, which writes it natively and says how it is run there."""
