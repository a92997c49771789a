"""The finished early-exit network: module, runtime, fusion, loading, prediction, tuning and export."""
