"""Who answers: what an orchestrator is written with, the one that comes along, and which one runs here."""
