"""What a finished network takes on this machine, in torch and in every form that it was exported to."""
