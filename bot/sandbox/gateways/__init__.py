"""The sandbox's three gateways: strict emulators of their wire contracts, on loopback."""
