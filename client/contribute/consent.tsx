const points = [
  {
    title: "What runs",
    text: "AI models, inside this tab's sandbox: on the GPU through WebGPU, else on the processor. Nothing is installed and your files stay out of reach.",
  },
  {
    title: "Whose data",
    text: "The inputs come from strangers and are computed here. Other tabs check the outputs; a wrong one earns nothing and costs trust.",
  },
  {
    title: "What it costs you",
    text: "Power and heat: fans may spin up and a battery drains faster. Models are downloaded once and kept up to your disk limit. You set every limit below.",
  },
  {
    title: "What you get",
    text: "A price for every answer that holds, in µUSDC (millionths of a USDC), as test money. It is held for 72 hours and 50 further answers, or 14 days; then it is yours.",
  },
  {
    title: "What the hub learns",
    text: "Your network address, the kind of machine, and a key made in this browser that stands for you. No account, no e-mail.",
  },
];

/** What a person agrees to by pressing Start. */
export function ConsentPoints() {
  return (
    <dl className="consent">
      {points.map((point) => (
        <div key={point.title}>
          <dt>{point.title}</dt>
          <dd>{point.text}</dd>
        </div>
      ))}
    </dl>
  );
}
