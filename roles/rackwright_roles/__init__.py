"""The role library: <role>/role.yaml and its templates."""
