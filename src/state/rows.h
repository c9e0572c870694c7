// Reading of instances and attempts, from the schema's versions 1 to 3 as they are. Inside the floor only;
// one thread, inside of a look().
#pragma once

#include <string>
#include <vector>

#include "state/database.h"
#include "state/store.h"

namespace pf::state {

/// Calls `row` for each row that the statement gives.
template <class Row>
Result<void> each(Connection& connection, Statement& statement, Row row) {
  while (true) {
    const int code = statement.step();
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return tl::unexpected(connection.error(code));
    if (auto taken = row(statement); !taken) return taken;
  }
}

/// Reader::instances, with `full` also Reader::instances_in_full.
Result<void> read_instances(Connection& connection, const std::string& run, bool full,
                            std::vector<InstanceRecord>& out);
/// Reader::latest.
Result<void> read_latest(Connection& connection, const std::string& pipeline,
                         std::vector<InstanceRecord>& out);
/// Reader::attempts.
Result<void> read_attempts(Connection& connection, const std::string& run, std::vector<AttemptEnd>& out);

}  // namespace pf::state
