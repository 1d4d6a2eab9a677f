"""One that recognizes for many gateways: it takes jobs off the broker when it has time, and tells what came of them."""
