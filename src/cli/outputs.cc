#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/project.h"
#include "orchestrator/keys.h"
#include "report/listing.h"
#include "report/visible.h"
#include "state/store.h"
#include "state/vault.h"

namespace pf::cli {

namespace {

// Puts the secrets back where there are any.
tl::expected<void, Errors> unseal(const Arguments& arguments, const Located& located,
                                  std::vector<state::InstanceRecord>& records) {
  const auto is_sealed = [](const state::InstanceRecord& record) { return !record.sealed.empty(); };
  if (std::none_of(records.begin(), records.end(), is_sealed)) return {};
  // The file says where the passphrase comes from.
  pipeline::LoadOptions load;
  load.file = arguments.file;
  load.pipeline = arguments.pipeline;
  load.profile = arguments.profile;
  load.variables = arguments.variables;
  const auto pipeline = pipeline::load(load);
  if (!pipeline) return tl::unexpected(pipeline.error());
  const auto passphrase = orchestrator::Keeper::passphrase(**pipeline);
  if (!passphrase) return tl::unexpected(Errors{passphrase.error()});
  const auto vault = state::Vault::open_existing(located.state_folder, *passphrase);
  if (!vault) return tl::unexpected(Errors{vault.error()});
  for (auto& record : records) {
    if (!is_sealed(record)) continue;
    auto plain = vault->unseal(record.sealed_as.empty() ? record.address : record.sealed_as, record.sealed);
    if (!plain) return tl::unexpected(Errors{plain.error()});
    record.outputs = std::move(*plain);
  }
  return {};
}

}  // namespace

int outputs(const Arguments& arguments, Screen& screen) {
  const auto located = locate(arguments);
  if (!located) return refuse(screen, arguments, located.error());
  std::vector<state::InstanceRecord> records;
  const auto reader = state::Reader::open(located->state_folder);
  if (reader) {
    auto latest = (*reader)->latest(located->pipeline);
    if (!latest) return refuse(screen, arguments, latest.error());
    records = std::move(*latest);
  } else if (reader.error().code != "state.none") {
    return refuse(screen, arguments, reader.error());
  }

  if (!arguments.operand.empty()) {
    std::vector<std::string> addresses;
    for (const auto& record : records) addresses.push_back(record.address);
    records.erase(std::remove_if(records.begin(), records.end(),
                                 [&](const auto& record) { return record.address != arguments.operand; }),
                  records.end());
    if (records.empty()) {
      Error error;
      error.code = "outputs.unknown";
      error.message =
          "no instance '" + arguments.operand + "' of " + located->pipeline + " has succeeded yet";
      error.hint = did_you_mean(arguments.operand, addresses);
      if (error.hint.empty()) error.hint = arguments.same_project("outputs") + " shows all there are";
      return refuse(screen, arguments, error);
    }
  }
  if (arguments.show_secrets) {
    if (auto done = unseal(arguments, *located, records); !done)
      return refuse(screen, arguments, done.error());
  }
  if (arguments.json()) {
    const auto written = report::write_outputs_json(screen.out, std::move(records));
    return written ? 0 : refuse(screen, arguments, written.error());
  }
  if (records.empty()) {
    if (!arguments.quiet) {
      screen.text() += report::visible(located->pipeline) +
                       " has no outputs yet: " + arguments.same_project("run") + " makes them\n";
    }
    return 0;
  }
  report::write_outputs_text(screen.out, std::move(records), line_width(), arguments.verbose);
  return 0;
}

}  // namespace pf::cli
