#!/usr/bin/env bash
# fresh.sh [RELEASE]: README's commands, to the letter, by an unprivileged user of a bare Debian that is not this machine.
#
# A root file system is built with debootstrap from the mirror, proxies and certificates that this machine's apt and
# pip use, and gets the tracked files and nothing else. README's blocks marked `sh` are run in order, a line a command:
# those that begin with apt-get as root, the others by the user, all in one shell. KEEP=DIR keeps the system there.
set -euo pipefail
cd "$(dirname "$0")/.."
release=${1:-trixie}

skip() { echo "fresh $release: skipped: $1"; exit 0; }
say() { printf 'fresh %s: %-6s %4d s  %s\n' "$release" "$1" "$2" "$3"; }

[ "$(id -u)" = 0 ] || skip "only root can build a root file system"
command -v apt-get >/dev/null || skip "not a Debian: no apt-get"
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" {print $2; exit}')
[ -n "$mirror" ] || { apt-get update -qq && mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' | awk '$1 == "Debian" {print $2; exit}'); }
[ -n "$mirror" ] || skip "apt knows no mirror of Debian"
command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap >/dev/null 2>&1 || skip "debootstrap cannot be installed"
[ -e "/usr/share/debootstrap/scripts/$release" ] || skip "debootstrap knows no release of that name"
room=${KEEP:-$(mktemp -d)}; root=$room/$release
[ "$(df --output=avail -k "$room" | tail -1)" -gt 12000000 ] || skip "less than 12 GB free below $room"
unshare --mount --pid --fork true 2>/dev/null || skip "no mount and process name spaces here"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$room"' EXIT

# proxies and certificates are this machine's way to the net; settings of pip, find-links say, stay outside
passed=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_CERT SSL_CERT_FILE REQUESTS_CA_BUNDLE PYTEST_ADDOPTS; do
    [ -z "${!name:-}" ] || passed+=("$name=${!name}")
done

started=$SECONDS
if [ ! -e "$root/etc/debian_version" ]; then
    debootstrap --variant=minbase --include=ca-certificates "$release" "$root" "$mirror" >"$room/log" 2>&1 || {
        tail -5 "$room/log"; skip "the release cannot be had from apt's mirror"; }
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost\n' "$(hostname)" >"$root/etc/hosts"  # as an installer writes it
apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Check)' >"$root/etc/apt/apt.conf.d/90-of-the-host" || true
cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
chroot "$root" update-ca-certificates >/dev/null 2>&1
chroot "$root" useradd --create-home --shell /bin/bash newcomer 2>/dev/null || true
home=$root/home/newcomer/crossbar-hil
rm -rf "$home"; mkdir -p "$home"
git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$home" --no-same-owner
chroot "$root" chown -R newcomer: /home/newcomer
say built $((SECONDS - started)) "$mirror"

awk '/^```sh$/ {inside = 1; next} /^```$/ {inside = 0} inside && NF' README.md >"$root/commands"
[ -s "$root/commands" ] || { echo "fresh: README has no block marked sh"; exit 1; }
cat >"$root/walk" <<'END'
# every command's words go to a log that is shown where it fails; the verdicts go to descriptor 3
cd /home/newcomer/crossbar-hil
export LC_ALL=C.UTF-8
failed=0 words=$(mktemp)
while read -r line; do
    began=$SECONDS; verdict=ok
    eval "$line" >"$words" 2>&1 </dev/null || { verdict=FAILED; failed=1; }
    [ $verdict = ok ] || tail -${TAIL:-400} "$words" >&3
    printf 'fresh %s: %-6s %4d s  %s\n' "$RELEASE" "$verdict" $((SECONDS - began)) "${line%%  #*}" >&3
    case $line in make\ test*) grep ' passed' "$words" | tail -1 >&3 ;; esac
done
exit $failed
END
inside() {  # USER: runs the commands on standard input there; nothing that they start outlives it
    unshare --mount --pid --fork --kill-child bash -euc '
        mount --make-rprivate /; mount --rbind /dev "$0/dev"; mount -t proc proc "$0/proc"
        exec 3>&1; exec chroot "$0" setpriv --reuid "$1" --regid "$1" --init-groups env -i "${@:2}" bash /walk' \
        "$root" "$1" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$2" USER="$1" RELEASE="$release" "${passed[@]}"
}
status=0
chroot "$root" env "${passed[@]}" apt-get update -qq >/dev/null 2>&1
grep '^apt-get' "$root/commands" | inside root /root || status=1
probe='python3 -m venv /tmp/probe && /tmp/probe/bin/pip download --quiet --no-deps --dest /tmp/probe tomli-w'
chroot "$root" env "${passed[@]}" sh -c "$probe" >"$room/log" 2>&1 || { tail -3 "$room/log"; skip "pip can download nothing there"; }
rm -rf "$root/tmp/probe"
grep -v '^apt-get' "$root/commands" | inside newcomer /home/newcomer || status=1
echo "fresh $release: $(chroot "$root" python3 --version), set up in $(du -sh "$home/.venv" | cut -f1) of .venv," \
    "$(((SECONDS - started) / 60)) min in all: $([ $status = 0 ] && echo "every command worked" || echo "FAILED")"
exit $status
