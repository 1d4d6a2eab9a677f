"""What is amiss is told: raised once, over once, with what to do about it; on the page, by a webhook, over MQTT."""
