-- Tells a Slack channel. The address is a secret: who knows it can write there.
local webhook = require "hooks.webhook"

return webhook.hook {
  secret = "SLACK_URL",
  format = "slack",
  stages = { "on_error", "after_pipeline" },
  text = ":construction: *{{ pipeline }}* {{ instance | default('') }} {{ result | default('') }}",
}
