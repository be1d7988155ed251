// Curves by uPlot, in the colours of the page.
/* global uPlot */

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Draws a vertical line through the selected step. */
const marker = (selected) => ({
    hooks: {
        draw: (plot) => {
            for (const [step, name] of selected()) {
                const x = Math.round(plot.valToPos(step, 'x', true));
                const { ctx, bbox } = plot;
                ctx.save();
                ctx.strokeStyle = colour(name);
                ctx.lineWidth = 2 * devicePixelRatio;
                ctx.globalAlpha = 0.5;
                ctx.beginPath();
                ctx.moveTo(x, bbox.top);
                ctx.lineTo(x, bbox.top + bbox.height);
                ctx.stroke();
                ctx.restore();
            }
        },
    },
});

function axis(options = {}) {
    return { stroke: colour('quiet'), grid: { stroke: colour('line'), width: 1 }, ticks: { stroke: colour('line'), width: 1 },
        font: '12px system-ui, sans-serif', ...options };
}

/**
 * One chart in `parent`: a title, curves of { label, values, colour, dash }, the range of y from 0. `marked` answers the steps
 * to mark with their colours, `onstep` is called with the step that was clicked.
 */
export function chart(parent, { title, curves, most = null, height = 160, marked, onstep, summary }) {
    const count = Math.max(...curves.map(({ values }) => values.length));
    const x = Array.from({ length: count }, (_, i) => i);
    const points = { show: count <= 60, size: 5 };
    const plot = new uPlot({
        title,
        width: Math.max(200, parent.clientWidth),
        height,
        cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'steps' }, points: { size: 8 } },
        scales: {
            x: { time: false, range: [-0.5, Math.max(count - 0.5, 0.5)] },
            y: { range: (_, low, high) => [0, most ?? Math.max((high ?? 0) * 1.08, 0.1)] },
        },
        series: [{}, ...curves.map(({ label, colour: name, dash, width }) =>
            ({ label, stroke: colour(name), width: width ?? 2, dash, points: { ...points, fill: colour(name), stroke: colour(name) } }))],
        axes: [axis({ size: 28, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick : '')) }), axis({ size: 44 })],
        plugins: [marker(marked)],
    }, [x, ...curves.map(({ values }) => x.map((i) => (Number.isFinite(values[i]) ? values[i] : null)))], parent);
    // A canvas says nothing by itself; the numbers stand in the tables.
    plot.root.setAttribute('role', 'img');
    plot.root.setAttribute('aria-label', summary ?? title);
    plot.over.addEventListener('click', () => {
        if (onstep && plot.cursor.idx !== null && plot.cursor.idx !== undefined) onstep(plot.cursor.idx);
    });
    return plot;
}
