#include "base/version.h"

#include <sys/utsname.h>

#include "cli/commands.h"
#include "report/json_text.h"

namespace pf::cli {

int version(const Arguments& arguments, Screen& screen) {
  std::string& out = screen.text();
  if (arguments.json()) {
    out += "{\"name\":\"pangeo-forge\",\"version\":";
    report::append_json_string(out, kVersion);
    out += "}\n";
    return 0;
  }
  out += std::string("pangeo-forge ") + kVersion + '\n';
  if (arguments.verbose) {
    utsname system{};
    ::uname(&system);
    out += std::string("built with ") + __VERSION__ + ", running on " + system.sysname + ' ' +
           system.release + ' ' + system.machine + '\n';
  }
  return 0;
}

}  // namespace pf::cli
