"""What hosts are: frozen values read from what they tell."""
