#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "extension/grants.h"
#include "extension/package.h"
#include "report/json_text.h"
#include "report/messages.h"
#include "report/visible.h"

namespace pf::cli {
namespace {

using extension::Package;
using report::visible;

// There is no FILE: the folder that we are in takes the place of the pipeline file's.
extension::SearchOptions search_options(const Arguments& arguments) {
  extension::SearchOptions options;
  options.folders.assign(arguments.extensions.begin(), arguments.extensions.end());
  std::error_code code;
  options.project = std::filesystem::current_path(code);
  return options;
}

void append_json(std::string& out, const Package& package, bool all) {
  const auto field = [&](const char* name, std::string_view value) {
    out.append(",\"").append(name).append("\":");
    report::append_json_string(out, value);
  };
  const auto& manifest = package.manifest;
  out += "{\"name\":";
  report::append_json_string(out, manifest.name);
  field("version", manifest.version);
  field("summary", manifest.summary);
  field("source", package.source);
  field("folder", package.folder.string());
  field("digest", package.digest);
  if (all) {
    field("license", manifest.license);
    field("requires_core", manifest.requires_core);
    out += ",\"tools\":{";
    bool first = true;
    for (const auto& tool : manifest.tools) {
      if (!first) out += ',';
      first = false;
      report::append_json_string(out, tool.name);
      out += ':';
      report::append_json_string(out, tool.range);
    }
    out += "},\"may\":[";
    first = true;
    for (const auto& words : extension::plain_words(manifest.permissions, manifest.limits)) {
      if (!first) out += ',';
      first = false;
      report::append_json_string(out, words);
    }
    out += "],\"limits\":{\"memory\":" + std::to_string(manifest.limits.memory) +
           ",\"cpu_ms\":" + std::to_string(manifest.limits.cpu.count()) +
           ",\"deadline_ms\":" + std::to_string(manifest.limits.deadline.count()) +
           ",\"output\":" + std::to_string(manifest.limits.output) +
           ",\"calls\":" + std::to_string(manifest.limits.calls) +
           ",\"log\":" + std::to_string(manifest.limits.log) + "},\"modules\":[";
    first = true;
    for (const auto& [name, source] : package.modules) {
      if (!first) out += ',';
      first = false;
      report::append_json_string(out, name);
    }
    out += ']';
  }
  out += '}';
}

void append_table(std::string& out, const std::vector<Package>& packages, size_t width, bool verbose) {
  size_t names = 4;
  size_t versions = 7;
  size_t sources = 6;
  for (const auto& package : packages) {
    names = std::max(names, report::cells(visible(package.manifest.name)));
    versions = std::max(versions, report::cells(visible(package.manifest.version)));
    sources = std::max(sources, report::cells(visible(package.source)));
  }
  for (const auto& package : packages) {
    std::string line;
    const auto column = [&](std::string_view text, size_t cells) {
      const size_t from = line.size();
      line += visible(text);
      report::pad(line, from, cells);
      line += "  ";
    };
    column(package.manifest.name, names);
    column(package.manifest.version, versions);
    column(package.source, sources);
    line += visible(package.manifest.summary);
    out += (verbose ? line : report::fit(line, width)) + '\n';
    if (verbose) out += "    " + visible(package.folder.string()) + "\n    digest " + package.digest + '\n';
  }
}

}  // namespace

int extension_list(const Arguments& arguments, Screen& screen) {
  std::vector<Package> packages;
  Errors errors;
  for (auto& found : extension::list_packages(search_options(arguments))) {
    if (found)
      packages.push_back(std::move(*found));
    else
      std::move(found.error().begin(), found.error().end(), std::back_inserter(errors));
  }
  std::string& out = screen.text();
  if (arguments.json()) {
    for (const auto& package : packages) {
      append_json(out, package, false);
      out += '\n';
    }
  } else {
    append_table(out, packages, line_width(), arguments.verbose);
    if (packages.empty() && errors.empty()) out += "no extensions were found\n";
  }
  return errors.empty() ? 0 : refuse(screen, arguments, errors);
}

int extension_show(const Arguments& arguments, Screen& screen) {
  const auto found = extension::find_package(search_options(arguments), arguments.operand);
  if (!found) return refuse(screen, arguments, found.error());
  const auto& manifest = found->manifest;
  std::string& out = screen.text();
  if (arguments.json()) {
    append_json(out, *found, true);
    out += '\n';
    return 0;
  }
  out += visible(manifest.name) + ' ' + visible(manifest.version);
  if (!manifest.summary.empty()) out += ": " + visible(manifest.summary);
  out += '\n';
  if (!manifest.license.empty()) out += "  license   " + visible(manifest.license) + '\n';
  if (!manifest.requires_core.empty())
    out += "  needs     pangeo-forge " + visible(manifest.requires_core) + '\n';
  for (const auto& tool : manifest.tools) {
    out += "  needs     " + visible(tool.name) + (tool.range.empty() ? "" : " " + visible(tool.range)) +
           " (asked by: " + visible(join(tool.probe, " ")) + ")\n";
  }
  out += "  found in  " + visible(found->folder.string()) + " (" + visible(found->source) + ")\n";
  out += "\nIt\n";
  const auto words = extension::plain_words(manifest.permissions, manifest.limits);
  for (const auto& phrase : words) out += "  - " + visible(phrase) + '\n';
  if (arguments.verbose) {
    out += "\nLua modules\n";
    for (const auto& [name, source] : found->modules) {
      out += "  " + visible(name) + " (" + format_bytes(source.size()) + ")\n";
    }
    out += "digest " + found->digest + '\n';
  }
  return 0;
}

}  // namespace pf::cli
