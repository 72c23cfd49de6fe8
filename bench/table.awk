# Makes a Markdown table of what bench/run measured. Input, tab-separated, a line for each run:
#   case server repeat unit rate p50_us p99_us server_us_per_unit server_peak_kib msize by_remove others_busy
#   case server repeat "fails" reason
# The ratio is the median over the repeats of (first server's rate / second's), then the least and
# the largest. CPU is the server's, in microseconds per operation or per MB; its ratio is the other
# way round, so that more than 1 is better for the first server in both.

BEGIN { n_servers = split(servers, server, " ") }

!($1 in seen) { seen[$1] = 1; order[++n_cases] = $1 }
$4 == "fails" { failed[$1, $2] = $5; next }
{
  unit[$1] = $4
  n = ++runs[$1, $2]
  rate[$1, $2, n] = $5; p50[$1, $2, n] = $6; p99[$1, $2, n] = $7; cpu[$1, $2, n] = $8
  by_repeat[$1, $2, $3] = $5
  if ($3 > repeats) repeats = $3
  if ($9 > peak[$2]) peak[$2] = $9
  msize[$1, $2] = $10
  if ($11 == "true") by_remove[$2] = 1
  others += $12; ++n_others
  if ($12 > others_most) others_most = $12
}

# Sorts v[1..n].
function sort(v, n,    i, j, x) {
  for (i = 2; i <= n; ++i) {
    x = v[i]
    for (j = i - 1; j >= 1 && v[j] > x; --j) v[j + 1] = v[j]
    v[j + 1] = x
  }
}
function middle(v, n) { return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2 }

# The median of one figure over the runs of a case.
function median(figure, c, s,    n, i, v) {
  n = runs[c, s]
  for (i = 1; i <= n; ++i) v[i] = figure[c, s, i]
  sort(v, n)
  return middle(v, n)
}
# 1234567 -> 1,234,567
function thousands(x,    text, out) {
  text = sprintf("%.0f", x)
  while (length(text) > 3) {
    out = "," substr(text, length(text) - 2) out
    text = substr(text, 1, length(text) - 3)
  }
  return text out
}
function short(x) { return x >= 100 ? thousands(x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x) }

# Sets ratio, least, largest from the repeats that both servers did; 0 if there are none.
function compare(c, a, b,    r, n, v) {
  for (r = 1; r <= repeats; ++r)
    if (((c, a, r) in by_repeat) && ((c, b, r) in by_repeat))
      v[++n] = by_repeat[c, a, r] / by_repeat[c, b, r]
  if (!n) return 0
  sort(v, n)
  ratio = middle(v, n); least = v[1]; largest = v[n]
  return n
}
function kib(bytes) { return bytes >= 1048576 ? bytes / 1048576 " MiB" : bytes / 1024 " KiB" }

END {
  head = "| case | connections x depth | msize |"; rule = "|---|---|---|"
  for (s = 1; s <= n_servers; ++s) { head = head " " server[s] " |"; rule = rule "--:|" }
  if (n_servers > 1) { head = head " ratio (spread) |"; rule = rule "--:|" }
  head = head " CPU us |"; rule = rule "--:|"
  if (n_servers > 1) { head = head " CPU ratio |"; rule = rule "--:|" }
  print head " p50 / p99 us |"; print rule "--:|"

  for (i = 1; i <= n_cases; ++i) {
    c = order[i]
    split(c, part, " ")
    line = "| " part[1] " | " part[2] " x " part[3] " | " kib(part[4]) " |"
    cpus = lat = sep = ""
    for (s = 1; s <= n_servers; ++s) {
      name = server[s]
      if (runs[c, name]) {
        line = line " " thousands(median(rate, c, name)) (unit[c] == "MB" ? " MB/s" : "")
        if (msize[c, name] != part[4]) line = line " (" kib(msize[c, name]) ")"
        cpus = cpus sep short(median(cpu, c, name))
        lat = lat sep short(median(p50, c, name)) " / " short(median(p99, c, name))
      } else {
        line = line " fails"; cpus = cpus sep "-"; lat = lat sep "-"
      }
      if ((c, name) in failed) why = why "- " name ", " c ": " failed[c, name] "\n"
      line = line " |"
      sep = "; "
    }
    if (n_servers > 1) {
      if (compare(c, server[1], server[2])) {
        line = line sprintf(" **%.2f** (%.2f to %.2f) |", ratio, least, largest)
        ca = median(cpu, c, server[1])
        cpu_ratio = ca > 0 ? sprintf("%.2f", median(cpu, c, server[2]) / ca) : "-"
        if (ratio < 1) {
          entry = sprintf("- %s %s x %s, %s: %.2f (%.2f to %.2f)\n", part[1], part[2], part[3],
                          kib(part[4]), ratio, least, largest)
          if (largest < 1) slower = slower entry; else level = level entry
        }
        logs += log(ratio); ++n_logs
      } else {
        line = line " - |"; cpu_ratio = "-"
      }
    }
    line = line " " cpus " |"
    if (n_servers > 1) line = line " " cpu_ratio " |"
    print line " " lat " |"
  }

  print ""
  for (s = 1; s <= n_servers; ++s) {
    notes = notes sprintf("%s%s %.1f MiB", s == 1 ? "peak memory: " : ", ", server[s], peak[server[s]] / 1024)
    if (by_remove[server[s]]) removers = removers " " server[s]
  }
  print notes
  if (n_others)
    printf "the rest of the machine: %.2f CPUs on average, %.2f at most\n", others / n_others, others_most
  if (removers) print "without Tunlinkat, by walk and Tremove:" removers
  if (why) printf "fails:\n%s", why
  if (n_servers > 1) {
    if (n_logs) printf "%s to %s, geometric mean of %d cases: %.2f\n", server[1], server[2], n_logs, exp(logs / n_logs)
    if (level) printf "level with %s (median below 1, but not in every repeat):\n%s", server[2], level
    if (slower) printf "slower than %s:\n%s", server[2], slower
    else print "slower than " server[2] ": none"
  }
}
