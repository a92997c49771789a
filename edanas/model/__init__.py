"""The finished network: module, runtime, fusion, loading, prediction, tuning and export."""
