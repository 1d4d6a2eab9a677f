"""Several hosts on one machine: network namespaces with addresses of their own, and the switch between them."""
