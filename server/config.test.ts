import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig, variables } from "./config.ts";

const folder = mkdtempSync(join(tmpdir(), "tabgrid-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

const faultsOf = (env: Record<string, string>): string[] => {
  const config = loadConfig(env);
  return config.ok ? [] : config.error;
};
const configOf = (env: Record<string, string>) => {
  const config = loadConfig(env);
  if (!config.ok) throw new Error(config.error.join("\n"));
  return config.value;
};

describe("config", () => {
  it("has a default for everything", () => {
    expect(configOf({ HOME: "/root", TABGRID_PORT: "" })).toEqual({
      host: "127.0.0.1",
      port: 8787,
      tls: null,
      trustProxy: false,
      dataDir: join(process.cwd(), "data"),
      adminToken: null,
      apiKey: null,
      databaseUrl: null,
      hfEndpoint: "https://huggingface.co",
      payouts: "off",
    });
  });

  it("takes what is given", () => {
    const config = configOf({
      TABGRID_HOST: "::",
      TABGRID_PORT: "0",
      TABGRID_DATA: "/var/lib/tabgrid",
      TABGRID_ADMIN_TOKEN: "sixteen-visible!",
      TABGRID_API_KEY: "k".repeat(256),
      DATABASE_URL: "postgres://tabgrid:secret@db:5432/tabgrid",
      HF_ENDPOINT: "https://mirror.example/",
      TABGRID_PAYOUTS: "csv",
    });
    expect(config).toMatchObject({ host: "::", port: 0, dataDir: "/var/lib/tabgrid", adminToken: "sixteen-visible!" });
    expect(config).toMatchObject({ apiKey: "k".repeat(256), databaseUrl: "postgres://tabgrid:secret@db:5432/tabgrid" });
    expect(config).toMatchObject({ hfEndpoint: "https://mirror.example", payouts: "csv" });
  });

  it.each([
    ["false", false],
    ["0", false],
    ["2", 2],
    ["10.0.0.0/8, ::1,loopback", ["10.0.0.0/8", "::1", "loopback"]],
  ])("trusts the proxies %s", (given, trusted) => {
    expect(configOf({ TABGRID_TRUST_PROXY: given }).trustProxy).toEqual(trusted);
  });

  it.each([
    ["TABGRID_HOST", "http://here"],
    ["TABGRID_HOST", "-a.example"],
    ["TABGRID_PORT", "65536"],
    ["TABGRID_PORT", "-1"],
    ["TABGRID_PORT", "80.5"],
    ["TABGRID_PORT", "1e3"],
    ["TABGRID_TRUST_PROXY", "true"],
    ["TABGRID_TRUST_PROXY", "10.0.0.0/33"],
    ["TABGRID_TRUST_PROXY", "10.0.0.0/8/8"],
    ["TABGRID_TRUST_PROXY", "10.0.0.1,"],
    ["TABGRID_PAYOUTS", "chain"],
    ["HF_ENDPOINT", "ftp://huggingface.co"],
    ["HF_ENDPOINT", "huggingface.co"],
  ])("refuses %s=%s in one sentence", (name, value) => {
    const faults = faultsOf({ [name]: value });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(new RegExp(`^${name}: expected .+, got "${value.replace(/[/.]/g, "\\$&")}"\\.$`));
  });

  it.each([
    ["TABGRID_ADMIN_TOKEN", "fifteen-letters"],
    ["TABGRID_API_KEY", "k".repeat(257)],
    ["TABGRID_API_KEY", "a key with blanks in it"],
    ["DATABASE_URL", "mysql://tabgrid:secret@db/tabgrid"],
  ])("refuses %s=%s and does not show it", (name, value) => {
    const faults = faultsOf({ [name]: value });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(`${name}: expected `);
    expect(faults[0]).toContain(`got ${value.length} characters`);
    expect(faults[0]).not.toContain(value);
  });

  it("names every fault at once", () => {
    const faults = faultsOf({
      TABGRID_PORT: "http",
      TABGRID_TLS_KEY: "key.pem",
      TABGRID_ADMIN_TOKEN: "x",
      TABGRID_X: "1",
    });
    expect(faults).toHaveLength(4);
  });

  it("names the nearest setting of an unknown one", () => {
    expect(faultsOf({ TABGRID_PROT: "80" })).toEqual([
      "TABGRID_PROT is not a setting of Tabgrid; the nearest one is TABGRID_PORT.",
    ]);
    expect(faultsOf({ TABGRID_TLS_CERTIFICATE: "a" })[0]).toContain("TABGRID_TLS_CERT.");
    expect(faultsOf({ TABGRID_DATADIR: "a" })[0]).toContain("TABGRID_DATA.");
  });

  it("is described in the README, variable by variable", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    for (const name of variables) expect(readme).toContain(`\`${name}\``);
  });
});

/** A self-signed certificate of an Ed25519 key that was made for this test alone, and that key (PKCS #8). */
const certPem = `-----BEGIN CERTIFICATE-----
MIIBRDCB96ADAgECAhR5AI4+7NInw/GnKF8aQPBgktd+sjAFBgMrZXAwFzEVMBMG
A1UEAwwMdGFiZ3JpZC50ZXN0MCAXDTI2MTEyMTEyNDMxMFoYDzIxMjYxMDI4MTI0
MzEwWjAXMRUwEwYDVQQDDAx0YWJncmlkLnRlc3QwKjAFBgMrZXADIQCYuXEv9Toz
7h80TAKCa5kTZDytp1e27zbgylgNma6ZLKNTMFEwHQYDVR0OBBYEFD8TrKSGa3Ga
Jmu9YjTx5TUXL+J0MB8GA1UdIwQYMBaAFD8TrKSGa3GaJmu9YjTx5TUXL+J0MA8G
A1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA6xKmxMRl+r/cXlxl4Gy/t0TxcT+mXZ9I
hvJLXwhUaydi2R2caB6FrUPp3wTuJi4pbICfT1bSPZ8ZHAjwEF3UBA==
-----END CERTIFICATE-----
`;
const keyDer = Buffer.from(
  "302e020100300506032b65700422042068e3ff93fd820a3b2cc7bcb646e3d328dd9d77d5a0db3ad5fdd0adec6e885f32",
  "hex",
);
const keyPem = createPrivateKey({ key: keyDer, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" });

describe("config of TLS", () => {
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const cert = file("cert.pem", certPem);
  const key = file("key.pem", keyPem);
  const otherKey = file(
    "other-key.pem",
    generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }),
  );

  it("reads a certificate with its key", () => {
    const { tls } = configOf({ TABGRID_TLS_CERT: cert, TABGRID_TLS_KEY: key });
    expect(tls).toEqual({ cert: Buffer.from(certPem), key: Buffer.from(keyPem) });
  });

  it.each([
    [{ TABGRID_TLS_CERT: cert }, "TABGRID_TLS_CERT is given without TABGRID_TLS_KEY"],
    [{ TABGRID_TLS_KEY: key }, "TABGRID_TLS_KEY is given without TABGRID_TLS_CERT"],
    [{ TABGRID_TLS_CERT: join(folder, "none"), TABGRID_TLS_KEY: key }, "no such file"],
    [{ TABGRID_TLS_CERT: key, TABGRID_TLS_KEY: key }, "TABGRID_TLS_CERT: expected the path of a PEM certificate"],
    [{ TABGRID_TLS_CERT: cert, TABGRID_TLS_KEY: cert }, "TABGRID_TLS_KEY: expected the path of that certificate's"],
    [{ TABGRID_TLS_CERT: cert, TABGRID_TLS_KEY: otherKey }, "the key of another certificate"],
    [{ TABGRID_TLS_CERT: folder, TABGRID_TLS_KEY: key }, "EISDIR"],
  ])("refuses %o", (env, expected) => {
    const faults = faultsOf(env as Record<string, string>);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(expected);
  });
});
