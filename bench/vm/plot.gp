# Draws what table.awk -v plot=1 prints: four panels of bars, MB/s on a logarithmic scale.
set terminal svg size 1100,800 font "sans,11" background "white"
set output out
set multiplot layout 2,2
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set boxwidth 0.9
set logscale y
set ylabel "MB/s"
set xtics rotate by -25
set key above horizontal right
set grid ytics
array name[4] = ["Sequential read", "Sequential write", "Random read", "Random write"]
do for [panel = 0:3] {
    set title name[panel + 1]
    plot for [column = 2:4] data index panel using column:xtic(1) title columnheader(column)
}
unset multiplot
