// How a database is looked at without writing anything beside it. Inside the floor only.
//
// A WAL database cannot be opened by SQLite's ordinary read-only mode without making `-wal` and `-shm` files,
// which stay. So: where there is no WAL content, the file holds everything and is read as immutable, and what
// was read counts only when neither the file nor its WAL has changed by the end, else it is read again. Where
// there is WAL content (a run goes on, or one was killed), the `-shm` file is there too and is used as it is
// (`readonly_shm`). Only where somebody removed the `-shm` beside a WAL with content, SQLite makes a new one.
// A database in DELETE mode is read with ordinary locks; a journal that a killed run left there is rolled
// back first, since nothing can be read before.
#pragma once

#include <functional>
#include <shared_mutex>

#include "state/database.h"

namespace pf::state {

/// Opens, calls `use` inside one read transaction, and closes. `use` is called again, to begin anew, when a
/// writer came between. Errors `state.none` (also for a file without tables), `state.damaged`, `state.newer`,
/// `state.busy`, `os.*`.
Result<void> look(const std::filesystem::path& folder, const std::function<Result<void>(Connection&)>& use);

/// Held shared while a look lasts, exclusively while a writer opens: the shared memory of a file is one
/// object for all connections of a process, and must not be opened read-only first.
std::shared_mutex& opening();

}  // namespace pf::state
