#include "vm/vm.h"

#include "vm/machine.h"

namespace pf::vm {

Result<std::unique_ptr<Vm>> Vm::load(Load load) {
  auto machine = Machine::make(std::move(load));
  if (!machine) return tl::unexpected(std::move(machine.error()));
  return std::unique_ptr<Vm>(std::move(*machine));
}

}  // namespace pf::vm
