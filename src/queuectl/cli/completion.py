"""`queuectl completion`: what a shell needs to complete commands, options, states and ids.

The scripts are made from the real parsers, so that they can't differ from them.
"""

from __future__ import annotations

from queuectl.cli.commands import COMMANDS, HIDDEN, load
from queuectl.cli.context import out
from queuectl.cli.parser import Parser
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    ENDED,
    FAILED,
    PENDING,
    PROCESSING,
    STATES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_SHELLS = ("bash", "zsh", "fish")
_OPERANDS = {
    "ID": "id",
    "WORKER": "worker",
    "KEY": "key",
    "Q": "queue",
    "T": "tag",
}
_FILES = ("F", "DIR", "URL|PATH")
# What a verb can act on; the others take any job.
_STATES_FOR = {
    "cancel": (PENDING, PROCESSING, FAILED),
    "retry": (FAILED, DEAD, CANCELLED),
    "delete": tuple([state for state in STATES if state != PROCESSING]),
    "purge": ENDED,
    "dlq show": (DEAD,),
    "dlq retry": (DEAD,),
    "dlq purge": (DEAD,),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))
    parser.epilog = """\
bash:  echo 'source <(queuectl completion bash)' >> ~/.bashrc
zsh:   echo 'source <(queuectl completion zsh)' >> ~/.zshrc
fish:  queuectl completion fish > ~/.config/fish/completions/queuectl.fish"""


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    writers: dict[str, Callable[[list[_Command]], str]] = {
        "bash": _bash,
        "zsh": _zsh,
        "fish": _fish,
    }
    commands = [_Command(name) for name in COMMANDS if name not in HIDDEN]
    out(writers[args.shell](commands))
    return 0


class _Command:
    """A command with what may follow it."""

    def __init__(self, name: str) -> None:
        parser = Parser(name, COMMANDS[name])
        load(name)[0](parser)
        self.name = name
        self.line = COMMANDS[name]
        self.options: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.operand = ""
        for action in parser._actions:
            metavar = str(action.metavar or action.dest)
            for option in action.option_strings:
                self.options[option] = action.help or ""
                if action.nargs != 0:
                    self.values[option] = _words(action, metavar)
            if not action.option_strings and not self.operand:
                self.operand = _words(action, metavar)
        if name in _STATES_FOR:
            self.operand += " " + ",".join(_STATES_FOR[name])


def _words(action: argparse.Action, metavar: str) -> str:
    """What a value is chosen from: `=a b` these words, `@id` what the store knows, `/` files,
    `-` anything; with a comma before it, several at once."""
    if action.choices:
        return "=" + " ".join(action.choices)
    if metavar in _FILES:
        return "/"
    if "--id" in action.option_strings:
        return "-"  # a new one
    one, comma, _more = metavar.partition(",")
    if one == "S":
        return f"{comma}={' '.join(STATES)}"
    kind = _OPERANDS.get(one.upper())
    return f"{comma}@{kind}" if kind else "-"


# Bash splits words at : = and @ too: `typed` has them whole, and of what is offered it wants
# only what follows the last of these. (zsh does neither, and has no COMP_WORDBREAKS.) A `--db`
# that only the shell could work out is left alone.
_BASH_HELPERS = r"""# queuectl, completion for bash
_queuectl_typed() {
  local line="${COMP_LINE:0:COMP_POINT}" i word
  count=-1
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    if ((i == 0)) || [[ "$line" == [[:blank:]]* ]]; then
      count=$((count + 1))
      typed[count]=""
      line="${line#"${line%%[![:blank:]]*}"}"
    fi
    if ((i == COMP_CWORD)); then word="$line"; fi
    typed[count]="${typed[count]}$word"
    line="${line#"$word"}"
  done
}
_queuectl_known() {
  set -- complete "$@" --typed="${cur##*,}"
  case "$db" in
    "") queuectl "$@" 2>/dev/null;;
    *[\$\`]*) ;;
    \"*\"|\'*\') queuectl --db "${db:1:${#db}-2}" "$@" 2>/dev/null;;
    "~/"*) queuectl --db "$HOME/${db:2}" "$@" 2>/dev/null;;
    *) queuectl --db "${db//\\/}" "$@" 2>/dev/null;;
  esac
}
_queuectl_offer() {
  if [[ "$1" = several && "$cur" == *,* ]]; then
    before="$before${cur%,*},"
    cur="${cur##*,}"
  fi
  if [ "$1" = files ]; then COMPREPLY=($(compgen -f -P "$before" -- "$cur"))
  else COMPREPLY=($(compgen -P "$before" -W "$2" -- "$cur")); fi
  local whole="$before$cur" breaks="${COMP_WORDBREAKS-}"
  breaks="${breaks//[^:=@]/}"
  if [[ -n "$breaks" && "$whole" == *[$breaks]* ]]; then
    whole="${whole%"${whole##*[$breaks]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$whole"}")
  fi
}
_queuectl() {
  local cur prev before="" db="" again="" first="" command="" skip="" word count typed
  COMPREPLY=()
  typed=()
  _queuectl_typed
  cur="${typed[count]}" prev="${typed[count-1]}"
  case "$cur" in --*=*) prev="${cur%%=*}"; before="$prev="; cur="${cur#*=}";; esac
  for word in "${typed[@]:1:count-1}"; do
    if [ -n "$skip" ]; then skip=""; db="$word"; continue; fi
    case "$word" in
      --) break;;
      --db) skip=1; continue;;
      --db=*) db="${word#--db=}"; continue;;
      --again) again=1; continue;;
      -*) continue;;
    esac
    if [ -z "$first" ]; then first="$word"; command="$word"
    elif [ "$command" = "$first" ]; then command="$first $word"; fi
  done"""


def _bash_reply(words: str, more: str = "") -> str:
    how = "several" if words.startswith(",") else "one"
    words = words.removeprefix(",")
    if words.startswith("="):
        return f'_queuectl_offer {how} "{words[1:]}"'
    if words.startswith("@"):
        return f'_queuectl_offer {how} "$(_queuectl_known {words[1:]}{more})"'
    return "_queuectl_offer files" if words == "/" else "COMPREPLY=()"


def _bash(commands: list[_Command]) -> str:
    """A function with a case of each command, and of each option that takes a value."""
    firsts = " ".join(dict.fromkeys(command.name.split()[0] for command in commands))
    lines = [_BASH_HELPERS, '  case "$first" in']
    groups: dict[str, list[str]] = {}
    for command in commands:
        first, _, second = command.name.partition(" ")
        if second:
            groups.setdefault(first, []).append(second)
    lines += [
        '    "") if [ "$prev" = --db ]; then _queuectl_offer files',
        f'        else COMPREPLY=($(compgen -W "{firsts} --db --help --version" -- "$cur"))',
        "        fi; return;;",
    ]
    for group, seconds in groups.items():
        lines.append(
            f'    {group}) [ "$command" = {group} ] && {{ COMPREPLY=($(compgen -W '
            f'"{" ".join(seconds)}" -- "$cur")); return; }};;'
        )
    lines += ['    *) command="$first";;', "  esac", '  case "$command" in']
    for command in commands:
        lines += [f'    "{command.name}")', '      case "$prev" in']
        by_words: dict[str, list[str]] = {}
        for option, words in command.values.items():
            by_words.setdefault(words, []).append(option)
        for words, names in by_words.items():
            lines.append(f"        {'|'.join(names)}) {_bash_reply(words)}; return;;")
        options = " ".join(command.options)
        more = f"${{again:+,{COMPLETED}}}" if "--again" in command.options else ""
        lines += [
            "      esac",
            '      case "$before$cur" in',
            f'        -*) COMPREPLY=($(compgen -W "{options}" -- "$before$cur"));;',
            f"        *) {_bash_reply(command.operand or '-', more)};;",
            "      esac;;",
        ]
    lines += ["  esac", "}", "complete -o default -F _queuectl queuectl"]
    return "\n".join(lines)


def _zsh(commands: list[_Command]) -> str:
    """The same function, through zsh's own bridge to bash completion."""
    bridge = (
        "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit"
    )
    return f"#compdef queuectl\n{bridge}\n{_bash(commands)}"


def _fish(commands: list[_Command]) -> str:
    """A line a command, and a line an option."""
    lines = [
        "# queuectl, completion for fish",
        "function __queuectl_words",
        "  set -l words (commandline -opc)",
        "  set -e words[1]",
        "  while string match -q -- '--db*' \"$words[1]\"",
        '    test "$words[1]" = --db; and set -e words[1]',
        "    set -e words[1]",
        "  end",
        '  echo "$words "',
        "end",
        "function __queuectl_in",
        '  __queuectl_words | string match -q -- "$argv[1] *"',
        "end",
        "function __queuectl_first",
        "  __queuectl_words | string match -q -- ' '",
        "end",
        "function __queuectl_known",
        "  set -l words (commandline -opc)",
        "  set -l db",
        "  for place in (seq (count $words))",
        "    switch $words[$place]",
        "      case --db; set db --db $words[(math $place + 1)]",
        "      case '--db=*'; set db $words[$place]",
        "    end",
        "  end",
        "  set -l typed (commandline -ct | string replace -r '^--[^=]*=|^.*,' '')",
        '  queuectl $db complete $argv --typed="$typed" 2>/dev/null',
        "end",
        "complete -c queuectl -f",
        "complete -c queuectl -n __queuectl_first -l db -r -F",
        "complete -c queuectl -n __queuectl_first -l version",
        "complete -c queuectl -n __queuectl_first -s h -l help",
    ]
    groups = {command.name.split()[0] for command in commands if " " in command.name}
    lines += [
        f"complete -c queuectl -n __queuectl_first -a {group}" for group in sorted(groups)
    ]
    for command in commands:
        first, _, second = command.name.partition(" ")
        inside = f"\"__queuectl_in {first}; and not __queuectl_in '{command.name}'\""
        where = inside if second else "__queuectl_first"
        name = second or first
        lines.append(f"complete -c queuectl -n {where} -a {name} -d {_quoted(command.line)}")
        here = f"\"__queuectl_in '{command.name}'\""
        for option, text in command.options.items():
            kind = "-l" if option.startswith("--") else "-s"
            value = _fish_words(command.values.get(option))
            described = f"-d {_quoted(text)}" if text else ""
            name = option.lstrip("-")
            lines.append(f"complete -c queuectl -n {here} {kind} {name} {value} {described}")
        if command.operand:
            lines.append(f"complete -c queuectl -n {here} {_fish_words(command.operand, '')}")
        if "--again" in command.options:
            typed = f'{here[:-1]}; and contains -- --again (commandline -opc)"'
            more = _fish_words(f"@id {COMPLETED}", "")
            lines.append(f"complete -c queuectl -n {typed} {more}")
    return "\n".join([line.rstrip() for line in lines])


def _fish_words(words: str | None, needs: str = "-r ") -> str:
    if words is None:
        return ""
    words = words.removeprefix(",")
    if words.startswith("="):
        return f"{needs}-a '{words[1:]}'"
    if words.startswith("@"):
        return f"{needs}-a '(__queuectl_known {words[1:]})'"
    return f"{needs}-F" if words == "/" else needs.strip()


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
