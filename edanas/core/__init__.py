"""The search engine. It knows no implementation and reads no names."""
