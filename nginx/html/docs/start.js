// Starts the page. It is a file of its own because the page's Content-Security-Policy lets nothing run that
// stands inside of it.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  // A token stays in this page's memory and is gone with it.
  persistAuthorization: false,
  // Nobody outside is asked whether the document is valid.
  validatorUrl: null,
});
