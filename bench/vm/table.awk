# Figures of bench/vm/run (lines `@ REPEAT DEVICE MSIZE WHAT ORDER BLOCK RATE`) to Markdown, or with
# -v plot=1 to what plot.gp draws.

function median(list,    n, i, j, a, swap) {
    n = split(list, a, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && a[j] + 0 < a[j - 1] + 0; j--) { swap = a[j]; a[j] = a[j - 1]; a[j - 1] = swap }
    least = a[1]
    most = a[n]
    return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
function number(x) { return x >= 100 ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x) }
function key(device, msize, case_, repeat) { return device SUBSEP msize SUBSEP case_ SUBSEP repeat }
function of(device, msize, case_,    i, list) {
    list = ""
    for (i = 1; i <= repeats; i++) if (key(device, msize, case_, i) in rate) list = list " " rate[key(device, msize, case_, i)]
    return list
}
# ratios(A, B, CASE): those of the repeats, each of figures that were measured in the same one.
function ratios(device, msize, other, other_msize, case_,    i, list, a, b) {
    list = ""
    for (i = 1; i <= repeats; i++) {
        a = key(device, msize, case_, i)
        b = key(other, other_msize, case_, i)
        if ((a in rate) && (b in rate)) list = list " " rate[a] / rate[b]
    }
    return list
}
function ours(device) { return device == "vhost-user" || device == "vfio-user" }
function nine(device) { return ours(device) || device == "tcp" || device == "qemu" }
function name(device) {
    if (device == "tcp") return "9pserve, TCP"
    if (ours(device)) return "9pserve, " device
    if (device == "qemu") return "QEMU's 9p server"
    if (device == "ide") return "emulated IDE"
    return device
}
function cell(device, msize, case_, spread,    list, x, text, r) {
    list = of(device, msize, case_)
    if (list == "") return ""
    x = median(list)
    text = number(x) (spread ? " (" number(least) " to " number(most) ")" : "")
    list = ours(device) ? ratios(device, msize, "qemu", msize, case_) : ""
    if (list != "") {
        r = median(list)
        text = text " **" sprintf("%.2f", r) "**"
        if (r < 1 && !listed[device, msize, case_]++) below = below "- " name(device) ", " (msize == "default" ? "default msize" : "msize " msize) ", " case_ ": " sprintf("%.2f (%.2f to %.2f)", r, least, most) "\n"
    }
    return text
}
function head(text, columns,    i) {
    printf "\n### %s\n\n| |", text
    for (i = 1; i <= split(columns, title, ","); i++) printf " %s |", title[i]
    printf "\n|---|"
    for (i in title) printf "--:|"
    print ""
}
# ratio(A, B, CASES): the geometric mean of the ratios' medians.
function ratio(device, other, cases,    n, i, part, sum, list) {
    n = split(cases, part, ",")
    sum = 0
    for (i = 1; i <= n; i++) {
        list = ratios(device, 512000, other, other == "qemu" ? 512000 : "-", part[i])
        if (list == "") return "-"
        sum += log(median(list))
    }
    return sprintf("%.2f", exp(sum / n))
}
# growth(DEVICE, MSIZE, FROM, TO): the geometric mean of reads' and writes' of TO to FROM.
function growth(device, msize, from, to,    what, sum, list) {
    sum = 0
    for (what = 1; what <= 2; what++) {
        list = of(device, msize, (what == 1 ? "read " : "write ") to)
        if (list == "") return "-"
        sum += log(median(list))
        sum -= log(median(of(device, msize, (what == 1 ? "read " : "write ") from)))
    }
    return sprintf("%.2f", exp(sum / 2))
}
function size(block) { return block == 4096 ? "4 KiB" : block == 65536 ? "64 KiB" : "1 MiB" }
# lower(DEVICE, MSIZE, OTHER): the cells in which it is slower, with the ratio: "seq. read 64 KiB 0.90".
function lower(device, msize, other,    o, w, b, case_, r, list, text) {
    if (of(other, "-", "read sequential 4096") == "") return "-"
    for (o = 1; o <= 2; o++) for (w = 1; w <= 2; w++) for (b = 1; b <= 3; b++) {
        case_ = what[w] " " order[o] " " block[b]
        list = ratios(device, msize, other, "-", case_)
        if (list == "" || (r = median(list)) >= 1) continue
        text = text (text == "" ? "" : ", ") (o == 1 ? "seq. " : "rnd. ") what[w] " " size(block[b]) sprintf(" %.2f", r)
    }
    return text == "" ? "none" : text
}
function conclusion(text, published, vhost, vfio) { printf "| %s | %s | %s | %s |\n", text, published, vhost, vfio }

/^#/ { print_head = print_head substr($0, 3) ". " }
$1 == "@" {
    if ($2 > repeats) repeats = $2
    case_ = $5 ($6 == "-" ? "" : " " $6 " " $7)
    rate[key($3, $4, case_, $2)] = $8
    if (!($3 in seen)) { seen[$3]; device[++devices] = $3 }
}
END {
    split("4096 65536 1048576", block, " ")
    split("sequential random", order, " ")
    split("read write", what, " ")
    split("512000 default 8192", msize, " ")
    for (i = 1; i <= devices; i++) first[device[i]] = nine(device[i]) ? 512000 : "-"
    if (plot) {
        for (o = 1; o <= 2; o++) for (w = 1; w <= 2; w++) {
            printf "\"%s %s\" \"4 KiB\" \"64 KiB\" \"1 MiB\"\n", order[o], what[w]
            for (i = 1; i <= devices; i++) {
                printf "\"%s\"", name(device[i])
                for (b = 1; b <= 3; b++) printf " %s", median(of(device[i], first[device[i]], what[w] " " order[o] " " block[b]))
                print ""
            }
            print "\n"
        }
        exit
    }
    print print_head
    for (o = 1; o <= 2; o++) for (w = 1; w <= 2; w++) {
        head(toupper(substr(order[o], 1, 1)) substr(order[o], 2) " " what[w] ", MB/s", "4 KiB,64 KiB,1 MiB")
        for (i = 1; i <= devices; i++) {
            printf "| %s |", name(device[i])
            for (b = 1; b <= 3; b++) printf " %s |", cell(device[i], first[device[i]], what[w] " " order[o] " " block[b], 1)
            print ""
        }
    }
    for (o = 1; o <= 2; o++) {
        head("The same by message size, " order[o] ", MB/s", "msize,read 4 KiB,64 KiB,1 MiB,write 4 KiB,64 KiB,1 MiB")
        for (i = 1; i <= devices; i++) for (m = 1; first[device[i]] != "-" && m <= 3; m++) {
            printf "| %s | %s |", name(device[i]), msize[m]
            for (w = 1; w <= 2; w++) for (b = 1; b <= 3; b++) {
                printf " %s |", cell(device[i], msize[m], what[w] " " order[o] " " block[b], 0)
            }
            print ""
        }
    }
    print "\n### Cells below other devices\n\n| | msize | ratio to virtiofsd | to virtio-blk |\n|---|---|---|---|"
    for (i = 1; i <= devices; i++) for (m = 1; ours(device[i]) && m <= 3; m++)
        printf "| %s | %s | %s | %s |\n", name(device[i]), msize[m], lower(device[i], msize[m], "virtiofsd"), lower(device[i], msize[m], "virtio-blk")
    head("Files per second, one after the other", "create,stat,unlink")
    for (i = 1; i <= devices; i++)
        printf "| %s | %s | %s | %s |\n", name(device[i]), cell(device[i], first[device[i]], "create", 1), cell(device[i], first[device[i]], "stat", 1), cell(device[i], first[device[i]], "unlink", 1)
    head("Beside what was published of VirtFS", "published,9pserve by vhost-user,by vfio-user")
    for (s = 1; s <= 2; s++) for (b = 1; b <= 3; b += 2) for (o = 1; o <= 2; o++) {
        other = s == 1 ? "virtio-blk" : "ide"
        published = s == 1 ? (b == 1 ? (o == 1 ? "1.87" : "3.35") : (o == 1 ? "1.90" : "3.10")) : (b == 1 ? (o == 1 ? "4.08" : "5.81") : (o == 1 ? "2.74" : "2.51"))
        cases = "read " order[o] " " block[b] ",write " order[o] " " block[b]
        conclusion("to " name(other) ", " (b == 1 ? "4 KiB " : "1 MiB ") order[o], published, ratio("vhost-user", other, cases), ratio("vfio-user", other, cases))
    }
    conclusion("1 MiB to 4 KiB, msize 512000", "18.35", growth("vhost-user", 512000, "sequential 4096", "sequential 1048576"), growth("vfio-user", 512000, "sequential 4096", "sequential 1048576"))
    conclusion("1 MiB to 4 KiB, msize 8192", "1.11", growth("vhost-user", 8192, "sequential 4096", "sequential 1048576"), growth("vfio-user", 8192, "sequential 4096", "sequential 1048576"))
    for (b = 1; b <= 3; b += 2)
        conclusion("random to sequential, " (b == 1 ? "4 KiB" : "1 MiB"), "about 1", growth("vhost-user", 512000, "sequential " block[b], "random " block[b]), growth("vfio-user", 512000, "sequential " block[b], "random " block[b]))
    print "\nBold: the ratio to QEMU's 9p server in the same repeat. Cells of 9pserve's by virtio below it" (below == "" ? ": none." : ":\n\n" below)
}
