"""`queuectl completion`: what a shell needs to complete commands, options, states and ids.

The scripts are made from the real parsers, so that they can't differ from them.
"""

from __future__ import annotations

from queuectl.cli.commands import COMMANDS, HIDDEN, load
from queuectl.cli.context import out
from queuectl.cli.parser import Parser
from queuectl.model import STATES

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
}
_FILES = ("F", "DIR", "URL|PATH")


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


def _words(action: argparse.Action, metavar: str) -> str:
    """What a value is chosen from: `=a b` these words, `@ids` what the store knows,
    `/` files, `-` anything."""
    if action.choices:
        return "=" + " ".join(action.choices)
    if metavar == "S,…":
        return "=" + " ".join(STATES)
    if metavar in _FILES:
        return "/"
    kind = _OPERANDS.get(metavar.partition(",")[0].upper())
    return f"@{kind}" if kind else "-"


def _bash_reply(words: str, dynamic: str) -> str:
    if words.startswith("="):
        return f'COMPREPLY=($(compgen -W "{words[1:]}" -- "$cur"))'
    if words.startswith("@"):
        return f'COMPREPLY=($(compgen -W "$({dynamic} {words[1:]})" -- "$cur"))'
    return 'COMPREPLY=($(compgen -f -- "$cur"))' if words == "/" else "COMPREPLY=()"


def _bash(commands: list[_Command]) -> str:
    """A function with a case of each command, and of each option that takes a value."""
    dynamic = "queuectl complete 2>/dev/null"
    firsts = " ".join(dict.fromkeys(command.name.split()[0] for command in commands))
    lines = [
        "# queuectl, completion for bash",
        "_queuectl() {",
        '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"',
        '  local first="" command="" skip="" word',
        '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        '    if [ -n "$skip" ]; then skip=""; continue; fi',
        '    case "$word" in --db) skip=1; continue;; -*) continue;; esac',
        '    if [ -z "$first" ]; then first="$word"; command="$word"',
        '    elif [ "$command" = "$first" ]; then command="$first $word"; fi',
        "  done",
        '  case "$first" in',
    ]
    groups: dict[str, list[str]] = {}
    for command in commands:
        first, _, second = command.name.partition(" ")
        if second:
            groups.setdefault(first, []).append(second)
    lines += [
        '    "") if [ "$prev" = --db ]; then COMPREPLY=($(compgen -f -- "$cur"))',
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
        for words, options in by_words.items():
            lines.append(
                f"        {'|'.join(options)}) {_bash_reply(words, dynamic)}; return;;"
            )
        lines += [
            "      esac",
            '      case "$cur" in',
            f'        -*) COMPREPLY=($(compgen -W "{" ".join(command.options)}" -- "$cur"));;',
            f"        *) {_bash_reply(command.operand or '-', dynamic)};;",
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
        "function __queuectl_in",
        "  set -l words (commandline -opc)",
        "  set -e words[1]",
        "  while string match -q -- '--db*' $words[1]",
        "    string match -q -- '--db' $words[1]; and set -e words[1]",
        "    set -e words[1]",
        "  end",
        '  test "$words[1..(math (count (string split " " -- $argv[1])))]" = "$argv[1]"',
        "end",
        "function __queuectl_first",
        "  set -l words (commandline -opc)",
        "  test (count (string match -v -- '-*' $words)) -eq 1",
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
    return "\n".join([line.rstrip() for line in lines])


def _fish_words(words: str | None, needs: str = "-r ") -> str:
    if words is None:
        return ""
    if words.startswith("="):
        return f"{needs}-a '{words[1:]}'"
    if words.startswith("@"):
        return f"{needs}-a '(queuectl complete {words[1:]} 2>/dev/null)'"
    return f"{needs}-F" if words == "/" else needs.strip()


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
