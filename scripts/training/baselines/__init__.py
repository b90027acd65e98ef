"""The models of the student papers that Mien grew out of, trained on its data and measured beside its own."""
