# shellcheck shell=bash
# Source this file: `. tools/env.sh`. Then `pulumi`, `onebox` and `python` are the project's.
# It starts and installs nothing (`make up` and `make setup` do). Variables that are already set keep their values.

if [ -n "${BASH_VERSION:-}" ]; then
  ONEBOX_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
else
  # shellcheck disable=SC2296  # zsh's name of this file
  ONEBOX_ROOT=$(cd "$(dirname "${(%):-%x}")/.." && pwd)
fi
export ONEBOX_ROOT

_onebox_first() { case ":$PATH:" in *":$1:"*) ;; *) PATH="$1:$PATH" ;; esac; }
[ -e "$ONEBOX_ROOT/.onebox/engine" ] && _onebox_first "$(readlink -f "$ONEBOX_ROOT/.onebox/engine")"
_onebox_first "$ONEBOX_ROOT/.onebox/bin"
_onebox_first "$ONEBOX_ROOT/tools/bin"
_onebox_first "$ONEBOX_ROOT/.venv/bin"
export PATH
unset -f _onebox_first

export VIRTUAL_ENV="$ONEBOX_ROOT/.venv"
export ONEBOX_PYTHON="$ONEBOX_ROOT/.venv/bin/python"

# The engine's helper processes import the same checkout as the program.
case ":${PYTHONPATH:-}:" in *":$ONEBOX_ROOT:"*) ;; *) export PYTHONPATH="$ONEBOX_ROOT${PYTHONPATH:+:$PYTHONPATH}" ;; esac

# Without cached bytecode every start of `pulumi` and `onebox` compiles thousands of files, which takes seconds. The
# cache is here and never beside the sources, which is the purpose of PYTHONDONTWRITEBYTECODE.
export PYTHONPYCACHEPREFIX="${PYTHONPYCACHEPREFIX:-$ONEBOX_ROOT/.onebox/pycache}"
unset PYTHONDONTWRITEBYTECODE

# State, credentials and plugins of the engine are in the checkout unless these variables are set.
export PULUMI_HOME="${PULUMI_HOME:-$ONEBOX_ROOT/.onebox/pulumi}"
export PULUMI_BACKEND_URL="${PULUMI_BACKEND_URL:-file://$ONEBOX_ROOT/.onebox/state}"
if [ -z "${PULUMI_CONFIG_PASSPHRASE:-}" ]; then
  export PULUMI_CONFIG_PASSPHRASE_FILE="${PULUMI_CONFIG_PASSPHRASE_FILE:-$ONEBOX_ROOT/.onebox/passphrase}"
fi
export PULUMI_SKIP_UPDATE_CHECK="${PULUMI_SKIP_UPDATE_CHECK:-true}"
export PULUMI_SUPPRESS_NEO_LINK="${PULUMI_SUPPRESS_NEO_LINK:-true}"
# Plugins are installed by `pulumi plugin install` only, never during an update.
export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="${PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION:-true}"
