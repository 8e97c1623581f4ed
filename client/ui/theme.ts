import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

const pine: MantineColorsTuple = [
  "#e8f6f0",
  "#cfeadf",
  "#a2d7c2",
  "#74c6a6",
  "#54b98f",
  "#35a67a",
  "#1d8b63",
  "#0d6f50",
  "#095840",
  "#053d2c",
];

/** Mantine's greys of the dark scheme, in the hue of theme.css. */
const dark: MantineColorsTuple = [
  "#e7ece9",
  "#c3ccc7",
  "#9eaca5",
  "#73827a",
  "#3a4843",
  "#2c3833",
  "#1b2521",
  "#151d1a",
  "#0e1412",
  "#0a0f0d",
];

const systemFont = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';

export const theme = createTheme({
  primaryColor: "pine",
  primaryShade: { light: 7, dark: 4 },
  colors: { pine, dark },
  fontFamily: systemFont,
  headings: { fontFamily: systemFont, fontWeight: "650" },
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace',
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  // Named, so that theme.css can tell filled buttons by their attribute.
  components: { Button: { defaultProps: { variant: "filled" } } },
});

/** Mantine draws with the tokens of theme.css, so one palette decides both schemes. */
export const cssVariables: CSSVariablesResolver = () => {
  const tokens = {
    "--mantine-color-body": "var(--paper)",
    "--mantine-color-text": "var(--ink)",
    "--mantine-color-dimmed": "var(--muted)",
    "--mantine-color-error": "var(--bad)",
    "--mantine-color-placeholder": "var(--muted)",
    "--mantine-color-default": "var(--card)",
    "--mantine-color-default-hover": "var(--sunken)",
    "--mantine-color-default-color": "var(--ink)",
    "--mantine-color-default-border": "var(--edge)",
  };
  return { variables: {}, light: tokens, dark: tokens };
};
