"""How the shipped vertebral heart score is made: landmarks, a phase along the spine, a silhouette."""
