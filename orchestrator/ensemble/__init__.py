"""The models of each fold combined, with uncertainties, as a leaderboard submission."""
