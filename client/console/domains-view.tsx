import { useState } from "react";
import { domainSchema } from "../../shared/economy-api.ts";
import { Domains } from "../economy/domains.tsx";
import { textFault } from "../economy/faults.ts";
import { CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";

/** Domains, and the editor of what holds in them from a later epoch on. */
export function DomainsView({ calls }: { calls: HubCalls }) {
  return (
    <>
      <Domains calls={calls} viewer={null} />
      <NewDomain calls={calls} />
    </>
  );
}

function NewDomain({ calls }: { calls: HubCalls }) {
  const [domain, setDomain] = useState("");
  const [title, setTitle] = useState("");
  const [owner, setOwner] = useState("");
  const command = useCommand(
    (body: object, once) => calls.send(domainSchema, "POST", "/domains", body, once),
    () => {
      setDomain("");
      setTitle("");
      setOwner("");
    },
  );
  return (
    <Card title="Open a domain">
      <CommandForm
        label="Open a domain"
        submit="Open"
        command={command}
        faults={{
          domain: /^[a-z][a-z0-9-]{0,62}$/.test(domain)
            ? null
            : `Expected a letter, then letters, digits and “-”, all lower case, got “${domain}”.`,
          title: textFault(title, "a title"),
          owner: owner.trim() === "" ? null : textFault(owner, "a customer, such as c_…"),
        }}
        done="The domain is open."
        onSubmit={() => command.mutate({ domain, title, owner: owner.trim() || null })}
      >
        <Field label="Name" name="domain" value={domain} onChange={setDomain} description="lower case, digits and -" />
        <Field label="Title" name="title" value={title} onChange={setTitle} />
        <Field
          label="Owner"
          name="owner"
          value={owner}
          onChange={setOwner}
          description="a customer, c_…; empty: the operator"
        />
      </CommandForm>
    </Card>
  );
}
