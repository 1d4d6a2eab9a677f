"""The recognizers on other machines as a gateway's own: who there is, what they are asked for, who helps whom."""
